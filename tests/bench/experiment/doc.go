// Package experiment has the benchmark's experiments, one to a file. An experiment measures every subject in turns (see
// Env.Rounds) and notes what it found; it asserts nothing.
package experiment
