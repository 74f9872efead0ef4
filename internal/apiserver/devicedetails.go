package apiserver

func deviceDetailRoutes() []Route {
	return nil
}
