package apiserver

func vrfRoutes() []Route {
	return nil
}
