package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Install gives all hosts a program of this machine, as a command of that name. Running processes of an earlier
// version are not disturbed: that is how an upgrade goes.
func (l *Lab) Install(program, name string) error {
	target := filepath.Join(l.dir, "bin", name)
	if err := copyProgram(program, target+".new"); err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	if err := os.Rename(target+".new", target); err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	return nil
}

func copyProgram(from, to string) (failure error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
