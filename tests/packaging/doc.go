// Package packaging tests what is in packaging/, without an engine.
package packaging
