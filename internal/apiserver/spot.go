package apiserver

func spotRoutes() []Route {
	return nil
}
