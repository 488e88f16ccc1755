package balance

import "math/bits"

// mix spreads a bucket, a stage and a choice over 64 bits, so that neighbours in any of them have nothing to do with each
// other (finalizer of splitmix64, Steele et al., 2014). The paper's `hash + ifindex` puts neighbouring stages on
// the same core far too often.
func mix(bucket, stage, choice int) uint64 {
	h := uint64(bucket)<<16 | uint64(stage)<<8 | uint64(choice)
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// below maps a hash to 0..n-1.
func below(h uint64, n int) int {
	high, _ := bits.Mul64(h, uint64(n))
	return int(high)
}
