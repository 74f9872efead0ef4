package apiserver

func hardwareReservationRoutes() []Route {
	return nil
}
