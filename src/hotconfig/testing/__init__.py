"""What those who test against hotconfig may use: public, and never loaded by the SDK itself."""
