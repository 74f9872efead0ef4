package apiserver

func vlanAssignmentRoutes() []Route {
	return nil
}
