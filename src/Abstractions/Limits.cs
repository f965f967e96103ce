namespace OrleansCache;

/// <summary>Every bound of the product that is not an option, in one place. Units are in the names.</summary>
public static class Limits
{
    /// <summary>memcached's KEY_MAX_LENGTH.</summary>
    public const int KeyBytesMax = 250;

    /// <summary>Default of -I.</summary>
    public const int ItemBytesDefault = 1024 * 1024;

    /// <summary>Largest -I.</summary>
    public const int ItemBytesMax = 1024 * 1024 * 1024;

    /// <summary>
    /// Largest -I in a cluster. An item crosses between silos in one message; a larger one would hold up the messages behind it, the silos' probes among them,
    /// for so long that a silo is taken for dead.
    /// </summary>
    public const int ClusterItemBytesMax = 16 * 1024 * 1024;

    /// <summary>Smallest -I.</summary>
    public const int ItemBytesMin = 1024;

    /// <summary>incr and decr refuse larger items, whatever they hold: memcached keeps those in pieces and does not look into them.</summary>
    public const int CounterItemBytesMax = 512 * 1024;

    /// <summary>A line that is no get or gets must end within this many bytes, or the connection is closed (memcached's rule).</summary>
    public const int LineBytesMax = 2048;

    /// <summary>A get or gets line may be this long (memcached lets it grow without end).</summary>
    public const int GetLineBytesMax = 8 * 1024 * 1024;

    /// <summary>The longest opaque token of a meta command, its letter included.</summary>
    public const int OpaqueBytesMax = 32;

    /// <summary>Tokens that a command may have, apart from the keys of a get.</summary>
    public const int TokensMax = 24;

    /// <summary>What one receive takes.</summary>
    public const int ReceiveBytesPerTurn = 64 * 1024;

    /// <summary>Bytes read from one connection, and sent to it, before its neighbours get their turn. -R bounds the requests.</summary>
    public const int InputBytesPerTurn = 256 * 1024;
    public const int OutputBytesPerTurn = 256 * 1024;

    /// <summary>Replies of a connection that yields with input left are sent if they have so many bytes, else together with those of its next turn.</summary>
    public const int OutputBytesWorthSending = 16 * 1024;

    /// <summary>How long a loop serves connections that have work left before it looks for others that have become ready.</summary>
    public const int RoundMicrosecondsMax = 100;

    /// <summary>A connection whose unsent replies exceed this stops being parsed until they drain. One value may exceed it.</summary>
    public const int OutputHighWaterBytes = 256 * 1024;

    /// <summary>
    /// The same for a connection when the buffers of all hold more than half of what they may: so their sum stays bounded however many connections there
    /// are.
    /// </summary>
    public const int OutputHighWaterBytesWhenShort = 16 * 1024;

    /// <summary>Default of -o read_buf_mem_limit: bytes that all connections' buffers may hold; at least twice -I.</summary>
    public const long BufferBytesDefault = 64L * 1024 * 1024;

    /// <summary>
    /// A value that cannot be pinned is copied under its partition's lock if it has at most this many bytes; a larger one waits until it can be pinned.
    /// </summary>
    public const int LockedCopyBytesMax = 1024 * 1024;

    /// <summary>How long a read waits for room for a large value before it fails, how often it looks, and how many look at a time.</summary>
    public const int RoomWaitSecondsMax = 5;
    public const int RoomCheckMilliseconds = 10;
    public const int RoomChecksMax = 8;

    /// <summary>Values of at least this many bytes are pinned and sent from the store's memory instead of being copied under the lock.</summary>
    public const int PinValueBytesMin = 16 * 1024;

    /// <summary>
    /// Keys that a connection announces to the store before it asks for them. About as many as a core can wait for at once; more would push each other out of
    /// the cache.
    /// </summary>
    public const int PrefetchKeysMax = 16;

    /// <summary>Replies of other silos that one connection may wait for before it stops being parsed.</summary>
    public const int RemoteRepliesPendingMax = 4096;

    /// <summary>A datagram with its 8 bytes of head: memcached's number, small enough for every network.</summary>
    public const int DatagramBytesMax = 1400;

    /// <summary>
    /// A larger reply over UDP is refused in one datagram: a sender's address can be forged, and the reply would hit somebody else. (memcached has no bound.)
    /// </summary>
    public const int DatagramReplyBytesMax = 64 * 1024;

    /// <summary>The reply over UDP to a command without a key, such as `stats`: small enough that a forged sender gains little.</summary>
    public const int DatagramAdminReplyBytesMax = 8 * 1024;

    /// <summary>
    /// Bytes of replies of more than one datagram that one I/O loop sends to one address in a second; more are dropped. Addresses share so many counters.
    /// </summary>
    public const int DatagramReplyBytesPerSecond = 4 * 1024 * 1024;
    public const int DatagramReplyCounters = 1024;

    /// <summary>
    /// Datagrams that one I/O loop and UDP address may be working on, those that wait for other silos or to be sent included; more are dropped.
    /// </summary>
    public const int DatagramRequestsPendingMax = 256;

    /// <summary>
    /// Items that one part of a scan brings: little enough that a partition's lock is held for microseconds and a message between silos stays small.
    /// </summary>
    public const int ScanItemsPerPage = 256;

    /// <summary>Longest name of a SASL mechanism (memcached's MAX_SASL_MECH_LEN).</summary>
    public const int SaslMechanismBytesMax = 32;

    /// <summary>Longest answer of a client to a SASL mechanism: PLAIN's two names and a password. (memcached: half a MiB.)</summary>
    public const int SaslDataBytesMax = 4096;

    /// <summary>Connections that watch one gateway (memcached's WATCHER_LIMIT).</summary>
    public const int WatchersMax = 20;

    /// <summary>Lines that a watching connection holds outside of its feed.</summary>
    public const int WatchOutputBytesMax = 64 * 1024;

    /// <summary>Watchers of one process's events, those of other silos included.</summary>
    public const int EventFeedsMax = 320;

    /// <summary>Buffers that are kept for the next messages between silos, all together.</summary>
    public const int WireBufferBytesKeptMax = 32 * 1024 * 1024;

    /// <summary>Events that wait to be made into lines, in bytes (memcached's worker_logbuf_size, for four threads).</summary>
    public const int EventRingBytesDefault = 256 * 1024;
    public const int EventRingBytesMin = 16 * 1024;
    public const int EventRingBytesMax = 256 * 1024 * 1024;

    /// <summary>Lines that wait for one watcher (memcached's watcher_logbuf_size).</summary>
    public const int EventFeedBytesDefault = 256 * 1024;
    public const int EventFeedBytesMin = 4 * 1024;
    public const int EventFeedBytesMax = 256 * 1024 * 1024;

    /// <summary>What an event carries besides its numbers: a key, an address, a sentence.</summary>
    public const int EventTextBytesMax = 512;

    /// <summary>The silo's name at the end of an event's line.</summary>
    public const int EventSuffixBytesMax = 100;

    /// <summary>An event's line: a key of which every byte is encoded, all numbers at their longest, the silo's name.</summary>
    public const int EventLineBytesMax = 2048;

    /// <summary>Dumps of the keyspace (metadump, mgdump) that one gateway serves at a time. (memcached: one.)</summary>
    public const int DumpsMax = 4;

    /// <summary>A dump reads on when fewer bytes than this wait to be sent.</summary>
    public const int DumpOutputBytes = 64 * 1024;

    /// <summary>Largest reply of `stats cachedump`, as in memcached.</summary>
    public const int CacheDumpBytesMax = 2 * 1024 * 1024;

    /// <summary>Prefixes that `stats detail` counts; keys with further ones are not counted. As in memcached.</summary>
    public const int DetailPrefixesMax = 65536;

    /// <summary>Step of `stats sizes`.</summary>
    public const int SizeStepBytes = 32;

    /// <summary>Slab classes at the most: their numbers, and one for index blocks, fit a byte.</summary>
    public const int SlabClassesMax = 250;

    /// <summary>memcached's slab classes are numbered below this: so many numbers are taken whether there is such a class or not.</summary>
    public const int SlabClassIdsMin = 64;

    /// <summary>A file with certificates or a key may have this many bytes.</summary>
    public const int CertificateFileBytesMax = 1024 * 1024;

    /// <summary>A TLS handshake must be over after this time.</summary>
    public const int TlsHandshakeSeconds = 10;

    /// <summary>
    /// TLS handshakes under way at a time. A place that is needed is taken from the client that has been silent for longest, but not before it was for so
    /// long.
    /// </summary>
    public const int TlsHandshakesMax = 512;
    public const int TlsSilentMillisecondsMin = 500;

    /// <summary>Pauses of accepting make at most one line in the log in this time.</summary>
    public const int AcceptPauseLogSeconds = 60;

    /// <summary>Largest -o ssl_wbuf_size that counts.</summary>
    public const int TlsWriteBufferBytesMax = 1024 * 1024;

    /// <summary>A file of users and passwords: its size, its users, and memcached's length of a line.</summary>
    public const int PasswordFileBytesMax = 256 * 1024;
    public const int PasswordsMax = 1024;
    public const int PasswordLineBytesMax = 254;

    /// <summary>A password file that was changed is read after it has been the same for one to two such times.</summary>
    public const int PasswordFileCheckSeconds = 1;

    /// <summary>memcached's longest value of the `set` that logs in.</summary>
    public const int LoginBytesMax = 16384;

    /// <summary>Failed logins after which a connection is closed.</summary>
    public const int LoginFailuresMax = 3;

    /// <summary>
    /// A failed login is answered after this time, and as much later for each full number per address that waits already, up to the longest delay. When so
    /// many wait in all, further ones are answered at once, and closed.
    /// </summary>
    public const int LoginDelayMilliseconds = 500;
    public const int LoginFailuresPerAddress = 8;
    public const int LoginDelayMillisecondsMax = 10_000;
    public const int LoginFailuresInAllMax = 1024;

    /// <summary>Failed logins make at most one line in the log in this time.</summary>
    public const int LoginLogSeconds = 5;

    /// <summary>How long one silo is waited for when all are asked for their numbers or their list.</summary>
    public const int ClusterAnswerMilliseconds = 2000;

    /// <summary>Lines of other silos that one message brings to a watcher, in bytes.</summary>
    public const int EventPageBytesMax = 64 * 1024;

    /// <summary>A watcher of another silo that has not asked for lines so long is gone.</summary>
    public const int EventFeedIdleSecondsMax = 10;

    /// <summary>Default and largest number of partitions.</summary>
    public const int PartitionsDefault = 256;
    public const int PartitionsMax = 16384;

    /// <summary>The least bytes per second to which moves can be limited: below, no partition of any size would ever arrive.</summary>
    public const int MoveLimitBytesMin = 64 * 1024;

    /// <summary>The most: as good as none.</summary>
    public const long MoveLimitBytesMax = 1L << 40;

    /// <summary>Seeds that vote on the membership at the most.</summary>
    public const int SeedsMax = 7;

    /// <summary>The membership table as the seeds' register holds it.</summary>
    public const int RegisterContentBytesMax = 1024 * 1024;

    /// <summary>A cluster id in the register, in bytes of UTF-8.</summary>
    public const int RegisterClusterIdBytesMax = 150;

    /// <summary>What a seed keeps in its file: the content, two sets of seeds, numbers.</summary>
    public const int SeedRecordBytesMax = RegisterContentBytesMax + (8 * 1024);

    /// <summary>Signs of life that a seed keeps in memory: how many, how long a key, and for how long.</summary>
    public const int AliveRowsMax = 1024;
    public const int AliveKeyBytesMax = 128;
    public const int AliveMinutesMax = 60;

    /// <summary>A message between a member and a seed, in either direction: a record and all signs of life.</summary>
    public const int RegisterMessageBytesMax = SeedRecordBytesMax + (AliveRowsMax * (AliveKeyBytesMax + 12)) + 1024;

    /// <summary>What memcached 1.6 counts for an item on top of its key and value: its header, CAS, key terminator and CRLF.</summary>
    private const int MemcachedItemOverheadBytes = 48 + 8 + 1 + 2;

    /// <summary>memcached's test for "object too large": its own headers count, so that both accept and refuse the same values.</summary>
    public static bool IsItemTooLarge(int keyBytes, long valueBytes, uint clientFlags, int itemBytesMax) =>
        MemcachedItemBytes(keyBytes, valueBytes, clientFlags) > itemBytesMax;

    /// <summary>What an item takes in memcached.</summary>
    public static long MemcachedItemBytes(int keyBytes, long valueBytes, uint clientFlags) =>
        MemcachedItemOverheadBytes + keyBytes + valueBytes + (clientFlags != 0 ? 4 : 0);
}
