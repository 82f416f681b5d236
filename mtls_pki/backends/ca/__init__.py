"""Issuing CAs whose key this stack holds: cert-manager signs with a CA Secret."""
