// Package picture draws PNGs for rooms: Tree draws a tree of people, Chart draws columns over time and a list of bars, Avatar the face of
// the bot. It knows nothing of Matrix: labels, numbers and tints go in, a PNG comes out.
//
// A telephone shows a picture 350 points wide or so. Therefore a picture is no wider than narrow if it can be helped: long labels lose
// their middle, and a heading goes on in a further line.
//
// A picture has one byte a pixel, so that a tree of 500 people takes 20 MB of memory and 600 KB as a PNG. For this reason the
// package draws by itself: drawing libraries use four bytes a pixel. To look at pictures, run go test ./picture -keep FOLDER.
package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Picture is a PNG.
type Picture struct {
	PNG           []byte
	Width, Height int // pixels
}

// Sizes in pixels, for screens with two pixels to a point.
const (
	margin    = 40
	textSize  = 22
	smallSize = 18
	titleSize = 32
	rowHeight = 34
	narrow    = 660 // width of a picture, so that a telephone shows its text large enough
)

// Tint is the color of a dot or a bar.
type Tint int

// The tints. They differ in lightness too, for people with color blindness.
const (
	Plain  Tint = iota // blue
	Good               // green
	Open               // amber
	Bad                // red
	Absent             // grey
	ink                // names
	faint              // secondary text
	line               // lines between people
	hair               // lines of a grid
	paper              // what all lies on, in pictures without other text
	tints
)

// shades is the number of steps from the paper to a tint. The byte of a pixel is tint*shades + step.
const shades = 16

// colors are the tints of a picture. The contrast to the paper is at least 4.5:1 for text and 2:1 for dots and bars.
func colors(dark bool) [tints]color.RGBA {
	if dark {
		return [tints]color.RGBA{
			Plain: {0x6E, 0x9B, 0xF5, 0xFF}, Good: {0x4C, 0xC3, 0x7E, 0xFF}, Open: {0xF0, 0xB2, 0x3C, 0xFF}, Bad: {0xE8, 0x6A, 0x78, 0xFF},
			Absent: {0x7C, 0x83, 0x90, 0xFF}, ink: {0xF0, 0xF1, 0xF4, 0xFF}, faint: {0xA2, 0xA8, 0xB4, 0xFF},
			line: {0x55, 0x5B, 0x66, 0xFF}, hair: {0x2D, 0x31, 0x38, 0xFF}, paper: {0x17, 0x19, 0x1D, 0xFF},
		}
	}
	return [tints]color.RGBA{
		Plain: {0x2F, 0x5F, 0xC4, 0xFF}, Good: {0x1E, 0x8A, 0x4C, 0xFF}, Open: {0xE0, 0x9A, 0x12, 0xFF}, Bad: {0xB3, 0x2D, 0x3E, 0xFF},
		Absent: {0x8A, 0x90, 0x9C, 0xFF}, ink: {0x1B, 0x1D, 0x22, 0xFF}, faint: {0x66, 0x6B, 0x75, 0xFF},
		line: {0xB4, 0xB9, 0xC4, 0xFF}, hair: {0xE6, 0xE8, 0xED, 0xFF}, paper: {0xFF, 0xFF, 0xFF, 0xFF},
	}
}

// palette has every tint in all shades between the paper and the tint.
func palette(dark bool) color.Palette {
	full := colors(dark)
	var p color.Palette
	for _, c := range full {
		for step := range shades {
			fade := func(from, to uint8) uint8 { return uint8(int(from) + (int(to)-int(from))*step/(shades-1)) }
			p = append(p, color.RGBA{fade(full[paper].R, c.R), fade(full[paper].G, c.G), fade(full[paper].B, c.B), 0xFF})
		}
	}
	return p
}

// faces are the sizes of the one font.
type faces struct{ text, small, title font.Face }

func newFaces() (f faces, err error) {
	parsed, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return f, fmt.Errorf("picture: font: %w", err)
	}
	for size, face := range map[float64]*font.Face{textSize: &f.text, smallSize: &f.small, titleSize: &f.title} {
		*face, err = opentype.NewFace(parsed, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
		if err != nil {
			return f, fmt.Errorf("picture: font: %w", err)
		}
	}
	return f, nil
}

// width is the width of a text in pixels.
func width(face font.Face, text string) int { return font.MeasureString(face, text).Ceil() }

// canvas is an unfinished picture.
type canvas struct {
	faces
	img *image.Paletted
}

// newCanvas makes an empty canvas: step 0 of every tint is the paper.
func newCanvas(f faces, width, height int, dark bool) *canvas {
	return &canvas{f, image.NewPaletted(image.Rect(0, 0, width, height), palette(dark))}
}

// set colors a pixel. cover, from 0 to 255, is the share of the pixel under the tint.
func (c *canvas) set(tint Tint, x, y, cover int) {
	if step := cover * (shades - 1) / 255; step > 0 && image.Pt(x, y).In(c.img.Rect) {
		c.img.Pix[c.img.PixOffset(x, y)] = uint8(int(tint)*shades + step)
	}
}

// write writes text from (x, baseline) and returns the x of its end.
func (c *canvas) write(face font.Face, tint Tint, x, baseline int, text string) int {
	dot, before := fixed.P(x, baseline), rune(-1)
	for _, r := range text {
		if before >= 0 {
			dot.X += face.Kern(before, r)
		}
		where, mask, from, advance, _ := face.Glyph(dot, r) // a box for a character without a glyph
		for py := where.Min.Y; py < where.Max.Y; py++ {
			for px := where.Min.X; px < where.Max.X; px++ {
				_, _, _, alpha := mask.At(from.X+px-where.Min.X, from.Y+py-where.Min.Y).RGBA()
				c.set(tint, px, py, int(alpha>>8))
			}
		}
		dot.X += advance
		before = r
	}
	return dot.X.Ceil()
}

// box fills a rectangle.
func (c *canvas) box(tint Tint, x0, y0, x1, y1 int) {
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			c.set(tint, x, y, 255)
		}
	}
}

// dot fills a circle, its edge smoothed.
func (c *canvas) dot(tint Tint, x, y, radius int) {
	const sub = 4
	for py := y - radius; py <= y+radius; py++ {
		for px := x - radius; px <= x+radius; px++ {
			in := 0
			for s := range sub * sub {
				dx, dy := (px-x)*sub+s%sub-sub/2, (py-y)*sub+s/sub-sub/2
				if dx*dx+dy*dy < radius*radius*sub*sub {
					in++
				}
			}
			c.set(tint, px, py, in*255/(sub*sub))
		}
	}
}

// heading is the top of a picture: a title, a smaller text and a legend, broken into lines.
type heading struct {
	title    []string
	subtitle []string
	legend   [][]legend
}

// legend is one tint with its meaning.
type legend struct {
	tint Tint
	text string
}

// Heights of the lines of a heading.
const (
	titleLine = 38
	smallLine = 26
	keyLine   = 30
)

// newHeading breaks a heading into lines of a width.
func (f faces) newHeading(title, subtitle string, entries []legend, most int) heading {
	h := heading{title: f.lines(f.title, title, most), subtitle: f.lines(f.small, subtitle, most)}
	end := most
	for _, e := range entries {
		w := f.legendWidth(e)
		if end+w > most {
			h.legend, end = append(h.legend, nil), 0
		}
		last := len(h.legend) - 1
		h.legend[last], end = append(h.legend[last], e), end+w
	}
	return h
}

// lines breaks a text into lines of a width. A longer word has a line of its own.
func (f faces) lines(face font.Face, text string, most int) (lines []string) {
	for word := range strings.FieldsSeq(text) {
		if n := len(lines); n > 0 && width(face, lines[n-1]+" "+word) <= most {
			lines[n-1] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}

// height is the height of a heading, with the space below it.
func (h heading) height() int {
	return len(h.title)*titleLine + len(h.subtitle)*smallLine + len(h.legend)*keyLine + 20
}

// width is the width of the longest line of a heading.
func (f faces) headingWidth(h heading) (w int) {
	for _, text := range h.title {
		w = max(w, width(f.title, text))
	}
	for _, text := range h.subtitle {
		w = max(w, width(f.small, text))
	}
	for _, entries := range h.legend {
		all := 0
		for _, e := range entries {
			all += f.legendWidth(e)
		}
		w = max(w, all)
	}
	return w
}

// heading draws a heading at the top left.
func (c *canvas) heading(h heading) {
	y := margin - 12
	for _, text := range h.title {
		y += titleLine
		c.write(c.title, ink, margin, y, text)
	}
	y += 4
	for _, text := range h.subtitle {
		y += smallLine
		c.write(c.small, faint, margin, y, text)
	}
	for _, entries := range h.legend {
		y += keyLine
		x := margin
		for _, e := range entries {
			c.dot(e.tint, x+8, y-7, 8)
			c.write(c.small, faint, x+24, y, e.text)
			x += c.legendWidth(e)
		}
	}
}

// legendOf lists the tints in use, in the order of the tints given.
func legendOf(order []Tint, meaning map[Tint]string, used func(Tint) bool) (list []legend) {
	for _, tint := range order {
		if text := meaning[tint]; text != "" && used(tint) {
			list = append(list, legend{tint, text})
		}
	}
	return list
}

// legendWidth is the width of an entry of a legend, with the space behind it.
func (f faces) legendWidth(e legend) int { return 24 + width(f.small, e.text) + 28 }

// picture encodes the canvas.
func (c *canvas) picture() (Picture, error) {
	var out bytes.Buffer
	if err := png.Encode(&out, c.img); err != nil {
		return Picture{}, fmt.Errorf("picture: %w", err)
	}
	return Picture{out.Bytes(), c.img.Bounds().Dx(), c.img.Bounds().Dy()}, nil
}

// shorten leaves out the middle of a label that is wider than most.
func (f faces) shorten(label string, most int) string {
	const longest, shortest = 64, 8 // characters
	r := []rune(label)
	for n := min(len(r), longest); ; n-- {
		if n < len(r) {
			label = string(r[:n/2]) + "…" + string(r[len(r)-(n-n/2-1):])
		}
		if n <= shortest || width(f.text, label) <= most {
			return label
		}
	}
}
