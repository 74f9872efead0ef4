package apiserver

func portRoutes() []Route {
	return nil
}
