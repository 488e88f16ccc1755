package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"os/exec"
	"strings"
)

// largest is the size that a picture should not exceed, in bytes.
const largest = 60_000

// zooms are how many pixels a picture may have for each of a chart's.
var zooms = []string{"2", "1.5", "1.25", "1"}

// ready tells which package is missing, if one is.
func ready(ctx context.Context) error {
	if _, err := exec.LookPath("rsvg-convert"); err != nil {
		return fmt.Errorf("%w: apt-get install librsvg2-bin", err)
	}
	fonts, err := exec.CommandContext(ctx, "fc-list", ":", "family").Output()
	if err != nil {
		return fmt.Errorf("list fonts: %w: apt-get install fontconfig", err)
	}
	if len(bytes.TrimSpace(fonts)) == 0 {
		return errors.New("there is no font to write with: apt-get install fonts-dejavu-core")
	}
	return nil
}

// render makes a PNG of an SVG, as sharp as fits the size.
func render(ctx context.Context, svg []byte) (picture []byte, err error) {
	for _, zoom := range zooms {
		if picture, err = renderAt(ctx, svg, zoom); err != nil || len(picture) <= largest {
			return picture, err
		}
	}
	return picture, nil
}

func renderAt(ctx context.Context, svg []byte, zoom string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "rsvg-convert", "--format=png", "--zoom="+zoom)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(svg), &complaint
	raw, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("rsvg-convert: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	picture, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("decode picture: %w", err)
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, reduce(picture)); err != nil {
		return nil, fmt.Errorf("encode picture: %w", err)
	}
	return b.Bytes(), nil
}
