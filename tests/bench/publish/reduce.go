package main

import (
	"cmp"
	"image"
	"image/color"
	"slices"
)

// reduce turns a picture into one with a palette, which takes a third of the room: its most frequent colours, to which the
// others, shades at the edges of letters and lines, are rounded.
func reduce(picture image.Image) *image.Paletted {
	counts, area := map[color.RGBA]int{}, picture.Bounds()
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			counts[at(picture, x, y)]++
		}
	}
	colours := make([]color.RGBA, 0, len(counts))
	for c := range counts {
		colours = append(colours, c)
	}
	slices.SortFunc(colours, func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var palette color.Palette
	for _, c := range colours[:min(len(colours), 256)] {
		palette = append(palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	for _, c := range colours {
		nearest[c] = uint8(palette.Index(c))
	}
	small := image.NewPaletted(area, palette)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			small.SetColorIndex(x, y, nearest[at(picture, x, y)])
		}
	}
	return small
}

// at is a pixel's colour on white, with five bits of each part: what differs less cannot be seen.
func at(picture image.Image, x, y int) color.RGBA {
	r, g, b, _ := picture.At(x, y).RGBA()
	round := func(v uint32) uint8 { v = v >> 8 &^ 7; return uint8(v | v>>5) }
	return color.RGBA{round(r), round(g), round(b), 255}
}
