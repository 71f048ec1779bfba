"""Computing elements: one protocol, a back end for each kind. Knows neither the database nor an application."""
