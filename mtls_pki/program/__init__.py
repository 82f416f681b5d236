"""The only code that composes: settings -> arguments -> components."""
