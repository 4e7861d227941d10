"""Many runs side by side: the forecasting table, with published numbers and no skill."""
