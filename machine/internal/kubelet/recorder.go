package kubelet

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"
	upstream "k8s.io/kubernetes/pkg/kubelet"
)

// lateRecorder records events with the recorder that the kubelet builds once it
// has a client. Events before that have nowhere to go.
type lateRecorder struct {
	dependencies *upstream.Dependencies
}

var _ record.EventRecorder = lateRecorder{}

func (l lateRecorder) Event(object runtime.Object, eventType, reason, message string) {
	if r := l.dependencies.Recorder; r != nil {
		r.Event(object, eventType, reason, message)
	}
}

func (l lateRecorder) Eventf(object runtime.Object, eventType, reason, format string, args ...any) {
	if r := l.dependencies.Recorder; r != nil {
		r.Eventf(object, eventType, reason, format, args...)
	}
}

func (l lateRecorder) AnnotatedEventf(object runtime.Object, annotations map[string]string, eventType, reason, format string, args ...any) {
	if r := l.dependencies.Recorder; r != nil {
		r.AnnotatedEventf(object, annotations, eventType, reason, format, args...)
	}
}
