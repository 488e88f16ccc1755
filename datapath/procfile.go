package datapath

import (
	"errors"
	"io"
	"os"
)

// procFile is a file that is read again and again.
type procFile struct {
	file *os.File
	text []byte // its size is a limit that no file has reached yet
}

func (p *procFile) open(path string) (err error) {
	p.text = make([]byte, 16<<10)
	p.file, err = os.Open(path)
	return err
}

func (p *procFile) close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// read gives the whole file as it is now; the bytes are good until the next call. The kernel writes the text anew for
// a read that begins at 0.
func (p *procFile) read() ([]byte, error) {
	for {
		n, err := p.file.ReadAt(p.text, 0)
		if errors.Is(err, io.EOF) {
			return p.text[:n], nil
		}
		if err != nil {
			return nil, err
		}
		p.text = make([]byte, 2*len(p.text))
	}
}
