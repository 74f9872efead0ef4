package rack

import (
	"fmt"
	"os"
	"sync"
)

// consoleLimit is how long a console's file grows before a new one is begun;
// one older file is kept.
const consoleLimit = 16 << 20

// console appends to a machine's console file.
type console struct {
	mutex sync.Mutex
	path  string
	limit int64
}

// Write implements io.Writer. The file is opened anew each time: consoles
// are quiet most of their life, and a machine may be many.
func (c *console) Write(data []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	file, err := os.OpenFile(c.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("opening the console's file: %w", err)
	}
	defer file.Close()
	written, err := file.Write(data)
	if err != nil {
		return written, fmt.Errorf("writing the console's file: %w", err)
	}
	if info, err := file.Stat(); err == nil && info.Size() > c.limit {
		if err := os.Rename(c.path, c.path+".old"); err != nil {
			return written, fmt.Errorf("putting the console's file aside: %w", err)
		}
	}
	return written, nil
}
