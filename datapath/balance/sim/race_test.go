//go:build race

package sim

// raceEnabled is for tests that would take too long with the race detector.
const raceEnabled = true
