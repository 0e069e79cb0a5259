//go:build race

package powertest

const raceDetector = true
