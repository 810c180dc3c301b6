package generate

// With other random bytes than the system's.
var (
	PasswordFrom  = password
	APIKeyFrom    = apiKey
	JWTSecretFrom = jwtSecret
)
