package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	sizeMinBytes = 16 << 20 // the smallest XFS that mkfs makes
	sizeMaxBytes = 64 << 30 // files are sparse; this bounds a mistyped request
)

// driver is the controller and the node service. It has one lock: calls for a volume must not overlap, and on a single
// node a lock per volume would gain nothing.
type driver struct {
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer
	dir, socket, node string
	lock              sync.Mutex
}

func (d *driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	var capabilities []*csi.ControllerServiceCapability
	for _, t := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_EXPAND_VOLUME,
		csi.ControllerServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER, // what ReadWriteOncePod asks for
	} {
		rpc := &csi.ControllerServiceCapability_RPC{Type: t}
		capabilities = append(capabilities, &csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{Rpc: rpc}})
	}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: capabilities}, nil
}

// CreateVolume creates the file under a temporary name and renames it. A file with the volume's name therefore always
// contains a complete file system, and a call repeated after a crash can rely on it.
func (d *driver) CreateVolume(ctx context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	path, err := d.file(r.GetName())
	if err != nil {
		return nil, err
	}
	size, err := wantedSize(r.GetCapacityRange())
	if err != nil {
		return nil, err
	}
	fs, err := fileSystem(r)
	if err != nil {
		return nil, err
	}
	existing, err := os.Stat(path)
	switch {
	case err == nil && existing.Size() < size:
		return nil, status.Errorf(codes.AlreadyExists, "volume %s exists with %d bytes", r.GetName(), existing.Size())
	case err == nil:
		size = existing.Size()
	case os.IsNotExist(err):
		if err := format(ctx, path, size, fs); err != nil {
			return nil, err
		}
	default:
		return nil, status.Errorf(codes.Internal, "%v", err)
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId:           r.GetName(),
		CapacityBytes:      size,
		AccessibleTopology: []*csi.Topology{d.topology()},
	}}, nil
}

func (d *driver) DeleteVolume(_ context.Context, r *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	path, err := d.file(r.GetVolumeId())
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, status.Errorf(codes.Internal, "%v", err)
	}
	return &csi.DeleteVolumeResponse{}, nil
}

func (d *driver) ValidateVolumeCapabilities(_ context.Context, r *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	confirmed := &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: r.GetVolumeCapabilities()}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: confirmed}, nil
}

// ControllerExpandVolume extends the file; the node service then resizes the loop device and the file system.
func (d *driver) ControllerExpandVolume(_ context.Context, r *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	path, err := d.existing(r.GetVolumeId())
	if err != nil {
		return nil, err
	}
	size, err := wantedSize(r.GetCapacityRange())
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "%v", err)
	}
	// Never shrink: truncation below the file system's size would destroy it.
	if info.Size() < size {
		if err := os.Truncate(path, size); err != nil {
			return nil, status.Errorf(codes.Internal, "%v", err)
		}
	}
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: max(size, info.Size()), NodeExpansionRequired: true}, nil
}

func (d *driver) topology() *csi.Topology {
	return &csi.Topology{Segments: map[string]string{driverName + "/node": d.node}}
}

// file is the path of a volume's file; the id must be a plain file name.
func (d *driver) file(id string) (string, error) {
	if id == "" || len(id) > 128 || id != filepath.Base(id) || strings.HasPrefix(id, ".") {
		return "", status.Errorf(codes.InvalidArgument, "volume id %q is not a plain name", id)
	}
	return filepath.Join(d.dir, id+".img"), nil
}

func (d *driver) existing(id string) (string, error) {
	path, err := d.file(id)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", status.Errorf(codes.NotFound, "volume %s: %v", id, err)
	}
	return path, nil
}

func wantedSize(r *csi.CapacityRange) (int64, error) {
	size := max(r.GetRequiredBytes(), sizeMinBytes)
	limit := r.GetLimitBytes()
	if size > sizeMaxBytes || (limit > 0 && size > limit) {
		return 0, status.Errorf(codes.OutOfRange, "%d bytes: volumes have %d to %d bytes", size, sizeMinBytes, int64(sizeMaxBytes))
	}
	return size, nil
}

// fileSystem is the parameter of the storage class. Default: XFS, because ext4 grows while mounted only with
// CAP_SYS_RESOURCE, which containers and micro virtual machines often lack.
func fileSystem(r *csi.CreateVolumeRequest) (string, error) {
	fs := r.GetParameters()["fs"]
	switch fs {
	case "":
		return "xfs", nil
	case "xfs", "ext4":
		return fs, nil
	}
	return "", status.Errorf(codes.InvalidArgument, "fs %q: xfs or ext4", fs)
}

func format(ctx context.Context, path string, size int64, fs string) error {
	unfinished := path + ".new"
	file, err := os.OpenFile(unfinished, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return status.Errorf(codes.Internal, "%v", err)
	}
	if err := file.Truncate(size); err != nil {
		file.Close()
		return status.Errorf(codes.ResourceExhausted, "%v", err)
	}
	if err := file.Close(); err != nil {
		return status.Errorf(codes.Internal, "%v", err)
	}
	mkfs := []string{"mkfs.ext4", "-q", "-F", unfinished}
	if fs == "xfs" {
		mkfs = []string{"mkfs.xfs", "-q", "-f", "--unsupported", unfinished} // --unsupported: required below 300 MiB
	}
	if _, err := run(ctx, mkfs...); err != nil {
		return err
	}
	if err := os.Rename(unfinished, path); err != nil {
		return status.Errorf(codes.Internal, "%v", err)
	}
	return nil
}

// usage returns the usage of a mounted volume, which the kubelet publishes as metrics.
func usage(path string) ([]*csi.VolumeUsage, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return nil, status.Errorf(codes.NotFound, "%s: %v", path, err)
	}
	block := int64(s.Bsize)
	return []*csi.VolumeUsage{
		{Unit: csi.VolumeUsage_BYTES, Total: int64(s.Blocks) * block, Available: int64(s.Bavail) * block, Used: int64(s.Blocks-s.Bfree) * block},
		{Unit: csi.VolumeUsage_INODES, Total: int64(s.Files), Available: int64(s.Ffree), Used: int64(s.Files - s.Ffree)},
	}, nil
}
