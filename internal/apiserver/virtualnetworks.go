package apiserver

func virtualNetworkRoutes() []Route {
	return nil
}
