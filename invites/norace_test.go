//go:build !race

package invites_test

const raceDetector = false
