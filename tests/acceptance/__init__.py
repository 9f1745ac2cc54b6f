"""The customer's rows, driven by programs that know nothing of hotconfig."""
