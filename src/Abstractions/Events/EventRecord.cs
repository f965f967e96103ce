using System.Runtime.InteropServices;

namespace OrleansCache;

/// <summary>
/// An event as it lies in the ring, followed by its text (a key, an address).
/// <code>
///  0      4    6    7       8                16   20         24       32         36     37      38         40
///  +------+----+----+-------+----------------+----+----------+--------+----------+------+-------+----------+-----
///  |Length|Kind|Type|ClassId|TimeMicroseconds|Size|Connection|Ttl     |LastAccess|Status|Command|TextLength| text
///  +------+----+----+-------+----------------+----+----------+--------+----------+------+-------+----------+-----
/// </code>
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct EventRecord
{
    public const int Bytes = 40;

    public int Length;
    public EventKinds Kind;
    public EventType Type;
    public byte ClassId;
    public long TimeMicroseconds;
    public int Size;
    public int Connection;
    public long Ttl;
    public int LastAccessSeconds;
    public byte Status;
    public byte Command;
    public ushort TextLength;
}

/// <summary>What happened; decides the shape of the line.</summary>
public enum EventType : byte
{
    Text = 0,
    ItemGet,
    ItemStore,
    Eviction,
    Deleted,
    ConnectionNew,
    ConnectionClosed,
}
