"""The methods of the services: translate, plan, store, translate back."""
