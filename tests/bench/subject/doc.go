// Package subject sets up what the benchmark compares: two hosts with every network between them that a user could choose,
// side by side, so that subjects can take turns within seconds.
package subject
