package apiserver

func capacityRoutes() []Route {
	return nil
}
