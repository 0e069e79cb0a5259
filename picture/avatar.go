package picture

// AvatarSize is the width and height of the avatar in pixels.
const AvatarSize = 512

// Avatar draws the face of the bot: a door that stands open, with light behind it. Clients cut it to a circle.
func Avatar() (Picture, error) {
	c := newCanvas(faces{}, AvatarSize, AvatarSize, false)
	const left, right, top, floor, frame = 156, 356, 104, 408, 16
	const leaf, slant = 116, 34 // the width and the slant of the leaf of the door, which opens to the viewer
	c.box(Plain, 0, 0, AvatarSize, AvatarSize)
	c.box(paper, left-frame, top-frame, right+frame, floor)
	c.box(Open, left, top, right, floor)
	for x := range leaf { // the leaf hangs on the left
		drop := slant * x / leaf
		c.box(ink, left+x, top+drop/2, left+x+1, floor+drop)
	}
	c.dot(Open, left+leaf-20, (top+floor)/2+slant/2, 9)
	c.box(paper, left-3*frame, floor, left, floor+frame/2)
	c.box(paper, left+leaf, floor, right+3*frame, floor+frame/2)
	return c.picture()
}
