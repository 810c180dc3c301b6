// Package rotatetest holds what package rotate builds on against its rules: [Store]
// tries any [rotate.Store], [Target] any [rotate.Target], on the real server.
//
//	func TestConformance(t *testing.T) {
//		rotatetest.Store(t, func(t *testing.T) rotatetest.StoreHarness {
//			vault := openVault(t) // your store, with a secret of its own
//			return rotatetest.StoreHarness{
//				Store: vault.Store(), Other: vault.Store(),
//				Overwrite: vault.Overwrite, Fail: vault.Fail,
//			}
//		})
//	}
//
// Import it from tests only, and run them with the race detector on.
package rotatetest
