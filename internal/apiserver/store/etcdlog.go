package store

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLogger gives etcd a logger that writes to ours. What etcd calls a
// warning is mostly that a disk or a processor is slow, and is for whoever
// debugs.
func zapLogger(logger *slog.Logger) *zap.Logger {
	return zap.New(slogCore{logger: logger.With("component", "etcd")})
}

// firstStartError is what etcd says on every first start, when it looks for
// the version of what it has not written yet. It means nothing.
const firstStartError = "failed to update storage version"

// slogCore is a zap core over slog.
type slogCore struct {
	logger *slog.Logger
}

func (c slogCore) Enabled(level zapcore.Level) bool {
	return level >= zapcore.WarnLevel
}

func (c slogCore) With(fields []zapcore.Field) zapcore.Core {
	return slogCore{logger: c.logger.With(attributes(fields)...)}
}

func (c slogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelDebug
	if entry.Level >= zapcore.ErrorLevel && entry.Message != firstStartError {
		level = slog.LevelError
	}
	c.logger.Log(context.Background(), level, entry.Message, attributes(fields)...)
	return nil
}

func (c slogCore) Sync() error { return nil }

func attributes(fields []zapcore.Field) []any {
	encoder := zapcore.NewMapObjectEncoder()
	for _, field := range fields {
		field.AddTo(encoder)
	}
	var list []any
	for name, value := range encoder.Fields {
		list = append(list, name, value)
	}
	return list
}
