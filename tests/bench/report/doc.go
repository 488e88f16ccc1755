// Package report keeps what the benchmark measured, every sample with its round, and writes it as JSON to compute with, as
// a short summary in Markdown, and as one self-contained HTML page to look at.
//
// It promises three things. Nothing disappears: what could not be measured is listed as missing or failed, and a sample
// that is no finite number is a failure. Ratios are formed within a round, where subjects ran next to each other, before
// the median is taken, so that a slow drift of the machine cancels. The same measurements give the same bytes, in whatever
// order they were added, so that reports can be committed and compared.
package report
