package apiserver

func apiKeyRoutes() []Route {
	return nil
}
