package apiserver

func metalGatewayRoutes() []Route {
	return nil
}
