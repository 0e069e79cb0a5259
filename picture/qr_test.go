package picture_test

import (
	"bytes"
	"image/png"
	"testing"

	"usher/picture"
)

func TestQR(t *testing.T) {
	drawn, err := picture.QR("https://usher.example.org/i/AAAAAAAAAAAAAAAAAAAAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(drawn.PNG))
	if err != nil {
		t.Fatal(err)
	}
	size := img.Bounds().Size()
	if size.X != drawn.Width || size.Y != drawn.Height || size.X < 200 {
		t.Errorf("the picture is %v, not %d × %d", size, drawn.Width, drawn.Height)
	}
	dark := func(x, y int) bool { r, _, _, _ := img.At(x, y).RGBA(); return r < 0x8000 }
	// The finder pattern stands behind the quiet margin.
	if dark(4, 4) || !dark(4*8+4, 4*8+4) || dark(5*8+4, 5*8+4) || !dark(7*8+4, 7*8+4) {
		t.Error("no finder pattern in the corner")
	}
}
