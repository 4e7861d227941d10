"""Models: modules put together into something that forecasts."""
