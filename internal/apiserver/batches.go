package apiserver

func batchRoutes() []Route {
	return nil
}
