package apiserver

func usageRoutes() []Route {
	return nil
}
