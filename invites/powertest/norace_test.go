//go:build !race

package powertest

const raceDetector = false
