"""One file per resource; each defines `router` and stands in `application.RESOURCES`."""
