// Package kms rotates keys that a key management service keeps and never shows:
//
//	target, err := kms.New(&kms.Config{Service: service, InUse: encryptAnew}) // service: of rotate/aws/kmskey, or yours
//	r, err := rotate.New(&rotate.Config{Store: store, Target: target, Grace: 30 * 24 * time.Hour})
//
// The key's ID is the user name of the credential; its password is a data key of 32
// bytes, encrypted under it, in base64. Applications that encrypt much have the
// service decrypt it and use it themselves; for all it proves that the key is still
// the one that it was. The steps mean:
//
//   - create: the service makes a key, labelled with the rotation, and encrypts a
//     data key with it; then it is disabled. One that is made and never stored is
//     found by its label and deleted by the next rotation.
//   - set: it is enabled.
//   - verify: it encrypts, it decrypts that, and it decrypts its data key.
//   - promote: the store names it. Applications encrypt with it from here on, and
//     decrypt with the key that each ciphertext names.
//   - drain: see [Config.InUse]: what is encrypted under the old key is encrypted
//     anew.
//   - disable: the old key is disabled. What somebody has forgotten cannot be
//     decrypted now, which Enable takes back; a long [rotate.Config.Grace] is in
//     order.
//   - remove: it is deleted, or scheduled for deletion where the service has such a
//     waiting time: to cancel it is then up to people, in the service.
//
// Encryption keys are rotated once a year by default, see
// [github.com/rekey-go/rekey/rotate/schedule.EncryptionKey].
//
// [Ring] is a service in a document, for development and tests.
package kms
