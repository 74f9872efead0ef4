package store

import (
	"sync"
	"sync/atomic"
)

// encodingsLimit is how many bytes of encoded records are kept at most.
const encodingsLimit = 64 << 20

// encodings bounds the memory of what rows look like to clients. The oldest
// are forgotten first: to keep track of what was used last would cost more
// than to encode it again.
type encodings struct {
	limit int64

	mu   sync.Mutex
	size int64
	// queue is a ring of what is kept, the oldest at head.
	queue []*encoding
	head  int
	used  int
}

// encoding is the bytes of one row. The row and the queue share it, so that
// neither keeps the other's memory.
type encoding struct {
	data atomic.Pointer[[]byte]
	size int64
}

// cached is a row's place for its encoding.
type cached struct {
	in    *encodings
	entry atomic.Pointer[encoding]
}

func (c *cached) get(encode func() ([]byte, error)) ([]byte, error) {
	if entry := c.entry.Load(); entry != nil {
		if data := entry.data.Load(); data != nil {
			return *data, nil
		}
	}
	data, err := encode()
	if err != nil {
		return nil, err
	}
	if c.in != nil {
		entry := &encoding{size: int64(len(data))}
		entry.data.Store(&data)
		c.entry.Store(entry)
		c.in.add(entry)
	}
	return data, nil
}

func (c *cached) forget() {
	if entry := c.entry.Swap(nil); entry != nil {
		entry.data.Store(nil)
	}
}

// add keeps an encoding, and forgets as many old ones as it takes.
func (e *encodings) add(entry *encoding) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.used == len(e.queue) {
		larger := make([]*encoding, max(1024, 2*e.used))
		for i := range e.used {
			larger[i] = e.queue[(e.head+i)%len(e.queue)]
		}
		e.queue, e.head = larger, 0
	}
	e.queue[(e.head+e.used)%len(e.queue)] = entry
	e.used++
	e.size += entry.size
	for e.size > e.limit && e.used > 1 {
		oldest := e.queue[e.head]
		e.queue[e.head] = nil
		e.head = (e.head + 1) % len(e.queue)
		e.used--
		e.size -= oldest.size
		oldest.data.Store(nil)
	}
}
