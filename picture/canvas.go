// Package picture draws PNGs for rooms: Tree draws a tree of people, Chart draws columns over time and a list of bars. It knows
// nothing of Matrix: labels, numbers and tints go in, a PNG comes out.
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
	tints
)

// shades is the number of steps from the paper to a tint. The byte of a pixel is tint*shades + step.
const shades = 16

// palette has every tint in all shades. The contrast to the paper is at least 4.5:1 for text and 2:1 for dots and bars.
func palette() color.Palette {
	full := [tints]color.RGBA{
		Plain: {0x2F, 0x5F, 0xC4, 0xFF}, Good: {0x1E, 0x8A, 0x4C, 0xFF}, Open: {0xE0, 0x9A, 0x12, 0xFF}, Bad: {0xB3, 0x2D, 0x3E, 0xFF},
		Absent: {0x8A, 0x90, 0x9C, 0xFF}, ink: {0x1B, 0x1D, 0x22, 0xFF}, faint: {0x66, 0x6B, 0x75, 0xFF},
		line: {0xB4, 0xB9, 0xC4, 0xFF}, hair: {0xE6, 0xE8, 0xED, 0xFF},
	}
	var p color.Palette
	for _, c := range full {
		for step := range shades {
			fade := func(v uint8) uint8 { return uint8(0xFF - (0xFF-int(v))*step/(shades-1)) }
			p = append(p, color.RGBA{fade(c.R), fade(c.G), fade(c.B), 0xFF})
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
func newCanvas(f faces, width, height int) *canvas {
	return &canvas{f, image.NewPaletted(image.Rect(0, 0, width, height), palette())}
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

// heading is the top of a picture: a title, a smaller line and a legend.
type heading struct {
	title, subtitle string
	legend          []legend
}

func (f faces) headingWidth(h heading) int {
	return max(width(f.title, h.title), width(f.small, h.subtitle), f.keyWidth(h.legend))
}

// heading draws a heading at the top left.
func (c *canvas) heading(h heading) {
	c.write(c.title, ink, margin, margin+26, h.title)
	c.write(c.small, faint, margin, margin+58, h.subtitle)
	c.key(margin, margin+88, h.legend)
}

// legend is one tint with its meaning.
type legend struct {
	tint Tint
	text string
}

// key draws a legend from (x, baseline).
func (c *canvas) key(x, baseline int, entries []legend) {
	for _, e := range entries {
		c.dot(e.tint, x+8, baseline-7, 8)
		x = c.write(c.small, faint, x+24, baseline, e.text) + 28
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

// keyWidth is the width of a legend.
func (f faces) keyWidth(entries []legend) int {
	w := 0
	for _, e := range entries {
		w += 24 + width(f.small, e.text) + 28
	}
	return w
}

// picture encodes the canvas.
func (c *canvas) picture() (Picture, error) {
	var out bytes.Buffer
	if err := png.Encode(&out, c.img); err != nil {
		return Picture{}, fmt.Errorf("picture: %w", err)
	}
	return Picture{out.Bytes(), c.img.Bounds().Dx(), c.img.Bounds().Dy()}, nil
}

// shorten leaves out the middle of a long label.
func shorten(label string) string {
	const most = 64
	r := []rune(label)
	if len(r) <= most {
		return label
	}
	return string(r[:most/2]) + "…" + string(r[len(r)-most/2+1:])
}
