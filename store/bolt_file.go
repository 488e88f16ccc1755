package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// lockTimeout is how long an open waits for another process to let go of the file: long enough for the end
// of a predecessor that is being restarted.
const lockTimeout = 2 * time.Second

// checkLimit is the size up to which an open checks the whole file. Falcon's are far below; reading this
// much takes well under a second.
const checkLimit = 64 << 20

// boltFile is the database with the file beneath it, which bbolt itself does not give out.
type boltFile struct {
	path string
	db   *bbolt.DB
	file *os.File
	info os.FileInfo // of file, at open
}

// openBoltFile opens or creates the database and checks that it is whole.
func openBoltFile(ctx context.Context, path string) (*boltFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f := &boltFile{path: path}
	err := f.guard(func() (err error) {
		f.db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait(ctx), OpenFile: f.open})
		return err
	})
	if err == nil {
		err = f.check()
	}
	if err == nil {
		err = syncDir(filepath.Dir(path)) // a new file lasts only when its directory does
	}
	if err != nil {
		return nil, errors.Join(f.explain(err), f.close(err))
	}
	return f, nil
}

// open is bbolt's way to the file. It keeps the file, which would leak where bbolt.Open panics.
func (f *boltFile) open(name string, flag int, mode os.FileMode) (*os.File, error) {
	file, err := os.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	if f.info, err = file.Stat(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f.file = file
	return file, nil
}

func lockWait(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return lockTimeout
	}
	return max(min(time.Until(deadline), lockTimeout), time.Millisecond) // zero would mean for ever
}

// explain turns what bbolt says of a file into what its owner can do about it.
func (f *boltFile) explain(err error) error {
	var errno unix.Errno
	switch {
	case errors.Is(err, ErrCorrupt):
		return err
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w: %s is locked by another process: stop the other falcon, or give this one another --state-dir",
			ErrUnavailable, f.path)
	case errors.As(err, &errno):
		return err // a path, a permission, a full disk: the system's words say it
	}
	return f.corrupt(err)
}

func (f *boltFile) corrupt(cause any) error {
	return fmt.Errorf("%w: %s: %v: restore the file from a backup, or move it away and restart falcon, which then begins with an empty store",
		ErrCorrupt, f.path, cause)
}

// guard runs fn and turns what is malformed, and a panic, into an error matching ErrCorrupt. bbolt maps the file into memory and
// trusts it: pages that make no sense make it panic, and pages that are gone make a memory fault.
func (f *boltFile) guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = f.corrupt(cause)
		}
	}()
	if err = fn(); errors.Is(err, errMalformed) {
		return f.corrupt(err)
	}
	return err
}

// check reads everything once. The order matters: bbolt's own check runs in a goroutine where a fault could
// not be caught, so it comes after the pages have been walked here without one.
func (f *boltFile) check() error {
	return f.guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			info, err := f.file.Stat()
			if err != nil {
				return err
			}
			if info.Size() < tx.Size() {
				return f.corrupt(fmt.Sprintf("file has %d bytes of %d", info.Size(), tx.Size()))
			}
			if info.Size() > checkLimit {
				return nil
			}
			if err := walk(tx); err != nil {
				return err
			}
			return f.checkPages(tx)
		})
	})
}

// walk visits each key of each bucket.
func walk(tx *bbolt.Tx) error {
	return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
		return bucket.ForEach(func(k, v []byte) error {
			if string(name) != recordsBucket {
				return nil
			}
			_, err := decodeRecord(string(k), v)
			return err
		})
	})
}

// checkPages has bbolt compare its tree with its list of free pages.
func (f *boltFile) checkPages(tx *bbolt.Tx) error {
	var first error
	for err := range tx.Check() { // to the end: its goroutine must finish
		if first == nil {
			first = f.corrupt(err)
		}
	}
	return first
}

// present tells whether the open file still is the one at the path. What is written to a deleted file
// vanishes with the process.
func (f *boltFile) present() error {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s was deleted or moved while in use: move it back, or restart falcon, which then begins with an empty store",
			ErrUnavailable, f.path)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case !os.SameFile(info, f.info):
		return fmt.Errorf("%w: %s was replaced while in use: restart falcon, which then uses the new file",
			ErrUnavailable, f.path)
	}
	return nil
}

// close closes the database. After a panic, which may have left bbolt's locks locked, it gives the file free
// and leaves the rest to the end of the process.
func (f *boltFile) close(cause error) error {
	switch {
	case f.db != nil && !errors.Is(cause, ErrCorrupt):
		return f.db.Close()
	case f.file == nil:
		return nil
	}
	// The mapping outlives the file's descriptor and would keep the lock.
	if err := unix.Flock(int(f.file.Fd()), unix.LOCK_UN); errors.Is(err, unix.EBADF) {
		return nil // bbolt has closed it
	}
	return f.file.Close()
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
