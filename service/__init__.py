"""The controller: API, store, dispatcher, reports, dashboard, command; it never imports torch."""
