package picture

import "rsc.io/qr"

// Sizes of a QR code.
const (
	dotSize  = 8 // pixels of one dot
	quietDot = 4 // dots of the margin, on each side
)

// QR draws a QR code of a text.
func QR(text string) (Picture, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return Picture{}, err
	}
	code.Scale = dotSize
	side := (code.Size + 2*quietDot) * dotSize
	return Picture{PNG: code.PNG(), Width: side, Height: side}, nil
}
