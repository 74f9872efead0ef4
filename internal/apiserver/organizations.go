package apiserver

func organizationRoutes() []Route {
	return nil
}
