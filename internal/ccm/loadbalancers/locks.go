package loadbalancers

import "sync"

// locks are mutual exclusion by name. A name that nobody holds takes no memory.
type locks struct {
	mu    sync.Mutex
	names map[string]*namedLock
}

type namedLock struct {
	sync.Mutex
	users int
}

// lock holds a name until the function that it returns is called.
func (l *locks) lock(name string) (unlock func()) {
	l.mu.Lock()
	if l.names == nil {
		l.names = map[string]*namedLock{}
	}
	named := l.names[name]
	if named == nil {
		named = &namedLock{}
		l.names[name] = named
	}
	named.users++
	l.mu.Unlock()
	named.Lock()
	return func() {
		named.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if named.users--; named.users == 0 {
			delete(l.names, name)
		}
	}
}
