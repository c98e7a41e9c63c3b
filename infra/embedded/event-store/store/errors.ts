/** The stored bytes are not what was written. Reads end with it; a store is not opened over it. */
export class DamagedStore extends Error {
  override name = 'DamagedStore'
}

/** Another live process has the data folder open. */
export class StoreInUse extends Error {
  override name = 'StoreInUse'
}

/** There is no room for the append. Nothing of it was written; the store accepts appends again once there is room. */
export class DiskFull extends Error {
  override name = 'DiskFull'
}

/** The node is stopping. Nothing of the append was written. */
export class StoreClosed extends Error {
  override name = 'StoreClosed'
}
